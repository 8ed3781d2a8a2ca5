"""Dynamic training by all criteria: calculations needed, error bars, long dynamics."""
