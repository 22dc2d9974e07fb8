"""Scripts that another environment's Python plays; nothing here is imported by Fieldcast."""
