"""What tasks lay out with: free places, lanes, furniture, beads, and what fits on or into what."""
