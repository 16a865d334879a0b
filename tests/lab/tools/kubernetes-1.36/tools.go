//go:build tools

// Package tools names the command the lab builds, so that `go mod tidy` records the checksum of
// everything it needs. The build tag keeps it out of every build.
package tools

import (
	_ "k8s.io/kubernetes/cmd/kube-apiserver"
)
