// Package sqlstore keeps the state of every Propolis extension in one SQL
// database.
package sqlstore
