"""What a command shows: progress while it runs, tables, JSON and plots at the end."""
