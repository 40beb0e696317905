package main

// patterns are 40 regular expressions for what Assent finds with its own scanner: the same
// entities, without validators or context, so they do less. RE2's and Hyperscan's dialect.
var patterns = []string{
	// general
	`[\w.%+-]+@[\w-]+(?:\.[\w-]+)*\.[A-Za-z]{2,24}`,
	`(?:\+\d{1,3}[ .-]?)?\(?[2-9]\d{2}\)?[ .-][2-9]\d{2}[ .-]\d{4}\b`,
	`\+\d{1,3}(?:[ .-]?\d{2,4}){2,5}\b`,
	`\b(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)\b`,
	`\b(?:[0-9a-fA-F]{1,4}:){7}[0-9a-fA-F]{1,4}\b`,
	`\b(?:[0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}\b`,
	`(?i)\b(?:dob|birth|born)\W{1,10}(?:19|20)\d{2}-\d{2}-\d{2}`,
	`\b[A-HJ-NPR-Z0-9]{8}[0-9X][A-HJ-NPR-Z0-9]{8}\b`,
	// money
	`\b(?:4\d{3}|5[1-5]\d{2}|2[2-7]\d{2}|6011|65\d{2})[ -]?\d{4}[ -]?\d{4}[ -]?\d{4}\b`,
	`\b3[47]\d{2}[ -]?\d{6}[ -]?\d{5}\b`,
	`\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,4})?\b`,
	`\bbc1[a-z0-9]{38,59}\b`,
	`\b[13][a-km-zA-HJ-NP-Z1-9]{25,34}\b`,
	`\b0x[0-9a-fA-F]{40}\b`,
	// ids
	`\b\d{3}-\d{2}-\d{4}\b`,
	`\b[2-9]\d{3} ?\d{4} ?\d{4}\b`,
	`\b\d{3}[ -]\d{3}[ -]\d{4}\b`,
	`\b[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z]\d{6}[A-D]\b`,
	`\b[A-Z]{3}[ABCFGHJLPT][A-Z]\d{4}[A-Z]\b`,
	`\b[1-9][AC-HJKMNP-RT-Y][0-9AC-HJKMNP-RT-Y]\d[AC-HJKMNP-RT-Y][0-9AC-HJKMNP-RT-Y]\d[AC-HJKMNP-RT-Y]{2}\d{2}\b`,
	`(?i)\bnpi\W{1,5}\d{10}\b`,
	// credentials
	`\b(?:AKIA|ASIA)[A-Z2-7]{16}\b`,
	`\bgh[pousr]_[A-Za-z0-9]{36}\b`,
	`\bgithub_pat_\w{82}\b`,
	`\bglpat-[\w-]{20}\b`,
	`\bxox[baprs]-[0-9A-Za-z-]{10,72}`,
	`\b(?:sk|rk|pk)_(?:live|test)_[0-9a-zA-Z]{24,99}`,
	`\bAIza[0-9A-Za-z_-]{35}`,
	`\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}`,
	`\bsk-ant-[a-z]{3,6}\d{2}-[\w-]{80,120}`,
	`\bSG\.[\w-]{22}\.[\w-]{43}`,
	`\bnpm_[A-Za-z0-9]{36}\b`,
	`\bpypi-AgEIcHlwaS5vcmc[\w-]{50,}`,
	`\bdop_v1_[a-f0-9]{64}\b`,
	`\bshp(?:at|ss|ca|pa)_[a-fA-F0-9]{32}\b`,
	`\bhf_[A-Za-z]{34}\b`,
	`https://hooks\.slack\.com/services/T\w{8,12}/B\w{8,12}/\w{20,26}`,
	`-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----`,
	`(?i)(?:passw(?:or)?d|pwd|secret|token|api[_-]?key)[\w-]{0,20}["' ]{0,3}[:=]["' ]{0,3}[^\s"',;}&]{8,64}`,
	`[a-z][a-z0-9+.-]{1,30}://[^\s:/@]{1,64}:[^\s:/@]{1,64}@[^\s/"']{1,64}`,
}
