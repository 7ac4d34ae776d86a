"""Multiple-choice questions: methods that rank the choices, compared."""
