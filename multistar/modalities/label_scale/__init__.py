"""Room of the label scale: whose labels a row's labels are."""
