"""Dynamic training by all criteria: calculations needed, error bars, mistakes of the verdict."""
