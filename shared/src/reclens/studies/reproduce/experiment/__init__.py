"""What a report is made of: the plan of jobs, their execution, their results, comparisons."""
