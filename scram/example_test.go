package scram_test

import (
	"context"
	"fmt"

	"github.com/propolis-im/propolis/scram"
)

// The exchange is that of RFC 7677 §3, hence the fixed nonce.
func Example() {
	ctx := context.Background()
	key, err := scram.ParseKey("SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$" +
		"WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=")
	if err != nil {
		fmt.Println(err)
		return
	}
	store := new(scram.Memory)
	if _, err := store.Create(ctx, "user@example.net", scram.Credentials{Keys: []scram.Key{key}}); err != nil {
		fmt.Println(err)
		return
	}
	auth := scram.New(store, &scram.Options{
		Nonce: func() string { return "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0" }, // for this example only
	})
	fmt.Println(auth.Mechanisms())

	exchange, err := auth.Start("SCRAM-SHA-256", "example.net")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, message := range []string{
		"n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
		"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
	} {
		answer, done, err := exchange.Step(ctx, []byte(message))
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(done, string(answer))
	}
	fmt.Println(exchange.Account())
	// Output:
	// [SCRAM-SHA-512 SCRAM-SHA-256 SCRAM-SHA-1 PLAIN]
	// false r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096
	// true v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=
	// user@example.net
}

// A password is checked against the rules for new ones and derived into the
// keys to store.
func ExampleNewCredentials() {
	name, err := scram.PrepareName("Juliet", 0)
	if err != nil {
		fmt.Println(err)
		return
	}
	password, err := scram.CheckPassword("r0m30myr0m30")
	if err != nil {
		fmt.Println(err)
		return
	}
	credentials, err := scram.NewCredentials(password, scram.Policy{Iterations: 10_000})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(name, credentials.Keys)
	_, err = scram.CheckPassword("password")
	fmt.Println(err)
	// Output:
	// juliet [SCRAM-SHA-512$10000 SCRAM-SHA-256$10000 SCRAM-SHA-1$10000]
	// scram: password not acceptable: too common
}

// The server's side without a store: three calls, with the key of the account in
// between. The exchange is that of RFC 7677 §3, hence the fixed nonce.
func ExampleServer() {
	key, err := scram.ParseKey("SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$" +
		"WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=")
	if err != nil {
		fmt.Println(err)
		return
	}
	server := scram.NewServer(scram.SHA256, scram.ServerConfig{
		Nonce: func() string { return "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0" }, // for this example only
	})
	first, err := server.First([]byte("n,,n=user,r=rOprNGfwEbeRWgbNEkqO"))
	fmt.Println(first.Username, err)
	challenge, err := server.Challenge(key) // of Decoys.Key where there is no such user
	fmt.Println(string(challenge), err)
	final, err := server.Final([]byte("c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="))
	fmt.Println(string(final), err)
	// Output:
	// user <nil>
	// r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096 <nil>
	// v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4= <nil>
}
