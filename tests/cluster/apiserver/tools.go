//go:build tools

// Package cluster names what `make test-cluster` builds from Go modules: the API server, and the modules that ship the
// definitions of KEDA's and the Prometheus operator's resources.
package cluster

import _ "k8s.io/kubernetes/cmd/kube-apiserver/app"
