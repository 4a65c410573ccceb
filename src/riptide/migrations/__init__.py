"""Migrations: what there is, what is applied, applying and taking back."""
