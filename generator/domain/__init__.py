"""What is declared, typed: experiments, environments and all that they consist of."""
