// Package repotest holds the tests that watch over the repository itself: the
// direction of imports, the conformance ledger, the dependencies of the root
// module and a few rules of style that no compiler checks.
//
// It has no code of its own. Every rule is a pure function over parsed source
// text with a table of its own, so that a rule that stopped finding anything
// is noticed; the tests named TestRepository… apply the rules to the checkout.
package repotest
