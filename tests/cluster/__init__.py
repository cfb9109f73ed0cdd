"""The chart on a real API server: `make test-cluster`. There is no kubelet and no controller: no pod runs."""
