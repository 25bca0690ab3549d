"""The search for a better configuration: its space, its trials, and what they show. No torch is needed."""
