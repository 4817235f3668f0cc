"""Rules, measures, scorecards, reviews, pay runs, recognition and development: what follows from a month of training."""
