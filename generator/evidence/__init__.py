"""What was measured: counts from Prometheus, the ledger of them in Git, and the verdict that they give."""
