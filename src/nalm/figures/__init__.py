"""What people see: plots, landscapes, the report page."""
