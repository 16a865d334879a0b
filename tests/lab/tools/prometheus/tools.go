//go:build tools

// Package tools names the commands the lab builds, so that `go mod tidy` records the checksum of
// everything they need. The build tag keeps it out of every build.
package tools

import (
	_ "github.com/prometheus/prometheus/cmd/prometheus"
	_ "github.com/prometheus/prometheus/cmd/promtool"
)
