package main

import (
	"github.com/propolis-im/propolis/component"
	"github.com/propolis-im/propolis/examples/server/internal/config"
)

// components are the external components that may connect.
func components(cfg *config.Config) ([]component.Component, error) {
	var all []component.Component
	for _, o := range cfg.Components {
		secret, err := o.Secret()
		if err != nil {
			return nil, err
		}
		all = append(all, component.Component{Domain: o.Domain, Secret: secret})
	}
	return all, nil
}
