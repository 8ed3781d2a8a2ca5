"""Dynamic training: first structures, exploration by molecular dynamics, criteria that call the engine."""
