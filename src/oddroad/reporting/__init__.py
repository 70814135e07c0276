"""Tables and figures of saved results; computes nothing."""
