"""Light curves: read from files and tables, joined by star, and turned into features."""
