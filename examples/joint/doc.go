// Package joint tests extensions together that know nothing of one another: what
// csi holds back, what smacks counts, and what carbons copies, live, over a lost
// connection and over a restart.
package joint
