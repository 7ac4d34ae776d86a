"""The lab: the exercises of a course on language models as data, their claims, their results and a report."""
