//go:build tools

// Package tools names the commands that scripts/test-servers.sh builds, so
// that `go mod tidy` keeps what they need in go.mod and go.sum.
package tools

import (
	_ "k8s.io/kubernetes/cmd/kube-apiserver"
	_ "k8s.io/kubernetes/cmd/kubectl"
)
