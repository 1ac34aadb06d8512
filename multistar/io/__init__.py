"""Tables in, tables out: any container to plain columns, files in parts, results to files."""
