"""Fast paths on NumPy's arrays: compiled rules, threads, shared products, many arrays as one, results written over."""
