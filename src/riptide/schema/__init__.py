"""Files that are made from the database's catalog: Pydantic models, documentation."""
