"""What a network can be run with on this machine, and which of it is the fastest."""
