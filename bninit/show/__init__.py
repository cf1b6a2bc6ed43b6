"""What people see: words, tables, charts and progress, shared by the verbs."""
