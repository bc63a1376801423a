"""Git, read: states without a checkout, and the lives of experiments on the branch that is deployed."""
