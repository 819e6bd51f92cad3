# The panel is for the shift; what writes is for devices that are known to be in order.
package hours

decision := {"deny": deny}

deny contains "outside the hours of the shift" if not in_shift

deny contains "only reading without an affirming appraisal" if {
	input.operation.method != "GET"
	not well_known
}

in_shift if {
	minute := floor(input.context.time / 60000) % 1440
	some shift in data.hours.shifts
	shift.from_minute <= minute
	minute < shift.to_minute
}

well_known if {
	input.subject.attributes.attestation in {"software", "tpm"}
	input.subject.attributes.risk < 50
}
