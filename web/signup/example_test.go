package signup_test

import (
	"fmt"
	"net/http/httptest"
	"strings"

	"github.com/propolis-im/propolis/register"
	"github.com/propolis-im/propolis/scram"
	"github.com/propolis-im/propolis/web/signup"
)

func Example() {
	const url = "https://example.org"
	accounts := scram.NewService(new(scram.Memory), nil)
	people := register.New(accounts, &register.Options{Policy: register.Open, Landing: signup.Landing(url)}) // goes into a mux, too
	pages, err := signup.New(people, func() []string { return []string{"example.org"} }, &signup.Options{URL: url})
	if err != nil {
		fmt.Println(err)
		return
	}
	// With a server: http.Handle("/", pages)
	w := httptest.NewRecorder()
	pages.ServeHTTP(w, httptest.NewRequest("GET", url+"/register", nil))
	fmt.Println(w.Code, strings.Contains(w.Body.String(), "Create an account"))
	// Output:
	// 200 true
}
