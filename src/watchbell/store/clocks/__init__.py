"""What is kept of the clock and of time zones: how far the clock is believed, what was held for it, and which zone rules hold."""
