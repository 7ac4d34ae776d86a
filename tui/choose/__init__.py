"""The Choose pane's parts: form, story, questions, figures."""
