package hours_test

import data.hours

noon := 43200000

test_noon_is_in_the_shift if {
	hours.decision.deny == set() with input as {"context": {"time": noon}, "operation": {"method": "GET"}}
}

test_midnight_is_not if {
	"outside the hours of the shift" in hours.decision.deny with input as {"context": {"time": 0}, "operation": {"method": "GET"}}
}

test_nobody_unknown_writes if {
	count(hours.decision.deny) == 1 with input as {"context": {"time": noon}, "operation": {"method": "POST"}}
}
