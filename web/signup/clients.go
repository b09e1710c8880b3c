package signup

import "strings"

// Client is an app that people can use.
type Client struct {
	Name string
	// URL is its page: that of the project or of a store.
	URL string
	// Platforms are where it runs: Android, iOS, Linux, macOS, Windows.
	Platforms []string
	About     string // a few words
}

// Clients returns some well-known apps.
func Clients() []Client {
	return []Client{
		{"Conversations", "https://conversations.im/", []string{"Android"}, "simple and long proven"},
		{"Cheogram", "https://cheogram.com/", []string{"Android"}, "with many extras"},
		{"Monal", "https://monal-im.org/", []string{"iOS", "macOS"}, "simple and friendly"},
		{"Siskin IM", "https://siskin.im/", []string{"iOS"}, "light and fast"},
		{"Dino", "https://dino.im/", []string{"Linux"}, "calm and modern"},
		{"Gajim", "https://gajim.org/", []string{"Linux", "Windows", "macOS"}, "with all features"},
		{"Beagle IM", "https://beagle.im/", []string{"macOS"}, "made for the Mac"},
	}
}

// apps are clients, by what the browser runs on.
type apps struct {
	Platform string // empty if it is not known
	Here     []Client
	Others   []group
}

// group is the clients of a platform.
type group struct {
	Platform string
	Clients  []Client
}

// platforms are told by words in User-Agent, in this order: Android claims to be Linux.
var platforms = []struct{ name, word string }{
	{"Android", "android"}, {"iOS", "iphone"}, {"iOS", "ipad"}, {"macOS", "mac os x"}, {"Windows", "windows"},
	{"Linux", "linux"}, {"Linux", "x11"},
}

func platformOf(userAgent string) string {
	userAgent = strings.ToLower(userAgent)
	for _, p := range platforms {
		if strings.Contains(userAgent, p.word) {
			return p.name
		}
	}
	return ""
}

// sort puts clients in order: those for this browser's platform, then the others.
func sortClients(all []Client, userAgent string) apps {
	a := apps{Platform: platformOf(userAgent)}
	index := make(map[string]int)
	for _, c := range all {
		for _, p := range c.Platforms {
			if p == a.Platform {
				a.Here = append(a.Here, c)
				continue
			}
			i, ok := index[p]
			if !ok {
				i = len(a.Others)
				index[p] = i
				a.Others = append(a.Others, group{Platform: p})
			}
			a.Others[i].Clients = append(a.Others[i].Clients, c)
		}
	}
	if len(a.Here) == 0 {
		a.Platform = ""
	}
	return a
}
