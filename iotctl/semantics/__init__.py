"""What AWS's documentation says, as pure functions: no I/O, no clock, no AWS client."""
