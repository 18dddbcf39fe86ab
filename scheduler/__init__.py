"""The process that plans: it fires by the timetable, fills gaps, dispatches, and takes back runs of the dead."""
