"""Skills of a robot with two hands: what the expert does with arms, waist, hands and base. A module a group."""
