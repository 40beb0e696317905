package detect

const (
	NPI          Class = "npi"
	MBI          Class = "mbi"
	DEA          Class = "dea"
	MRN          Class = "mrn"
	MemberID     Class = "member-id"
	Prescription Class = "prescription"
)

func healthClasses() []info {
	return []info{
		{
			class: NPI, groups: " phi pii", format: "10 digits that begin with 1 or 2, near a word", check: "Luhn over 80840 and the digits", source: "45 CFR 162.406; CMS, NPI check digit",
			near: 0.95, wrong: 0.5,
			words: "npi npis",
			names: "npi, npi number, npi no, provider npi, national provider identifier",
			is:    []string{"NPI: «1234567893»", "NPI «2370934498»"}, not: []string{"1234567893"},
		},
		{
			class: MBI, groups: " phi pii", format: "11 letters and digits in fixed places, with dashes or not", check: "places, and letters without S, L, O, I, B, Z", source: "CMS, Understanding the MBI format",
			alone: 0.85, near: 0.95,
			words: "mbi medicare beneficiary",
			names: "mbi, mbi number, medicare beneficiary identifier, medicare beneficiary id, medicare id, us medicare number",
			is:    []string{"«1EG4-TE5-MK73»", "MBI «1EG4TE5MK73»"}, not: []string{"1EG4-TE5-MK7", "1SG4TE5MK73"},
		},
		{
			class: DEA, groups: " phi pii", format: "two letters and 7 digits near a word", check: "digits 1, 3, 5 and twice 2, 4, 6", source: "DEA Diversion Control Division, registration numbers; 21 CFR 1301",
			near: 0.95, wrong: 0.5,
			words: "dea",
			names: "dea, dea number, dea no, dea registration",
			is:    []string{"DEA: «AB1234563»", "DEA# «FD0751795»"}, not: []string{"AB1234563"},
		},
		{
			class: MRN, groups: " phi pii", format: "5 to 15 letters and digits, most of them digits, after words that say so", source: "customs of the hospital",
			near:  0.85,
			words: "mrn medical chart",
			names: "mrn, mrn no, mrn number, medical record number, medical record no, medical record id, medicalrecordnumber, medical record, chart number 0.8, chart no 0.8, patient number, patient no, patient id 0.9, patientid 0.9, patientennummer, patienten nr, fallnummer 0.6, numero dossier medical, historia clinica, nhc, cartella clinica",
			is:    []string{"MRN: «MRN-1015952»", "medical record number «4458210»"}, not: []string{"MRN 12", "medical records of 2024"},
		},
		{
			class: MemberID, groups: " phi pii", format: "6 to 20 letters and digits, most of them digits, after words that say so", source: "customs of the insurer",
			near:  0.7,
			words: "insurance subscriber member policy medicaid versichertennummer krankenkasse",
			names: "member id 0.8, member number 0.8, member no 0.8, memberid 0.8, subscriber id 0.9, subscriber number 0.9, insurance id, insurance number, insurance no, insurance member id, insurance policy number, insurance policy no, health insurance number, health insurance id, health plan id, health plan number, medicaid id, medicaid number, policy number 0.8, policy no 0.8, versichertennummer, krankenversichertennummer, versicherungsnummer 0.8, numero assure, numéro assuré, numero mutuelle, numero de asegurado, tessera sanitaria, ehic",
			is:    []string{"Insurance ID: «INS-659117991»", "member number: «XYZ123456789»"}, not: []string{"insurance of 2024", "member 12"},
		},
		{
			class: Prescription, groups: " phi", format: "`RX` and 6 to 10 digits", source: "customs of the pharmacy",
			near:  0.7,
			words: "rx prescription",
			names: "rx number, rx no, rxnumber, prescription number, prescription no, prescription id, rezeptnummer",
			is:    []string{"Rx#: «RX-3668289»"}, not: []string{"rx 12 tx 13", "rx_bytes: 36682890"},
		},
		{
			class: Diagnosis, groups: " phi", format: "a condition or its ICD code", source: "columns by their names; in text the model",
			names: "diagnosis, diagnoses, diagnosis code, diagnosis description, primary diagnosis, diag code, dx code 0.9, dx 0.8, icd, icd code, icd 10, icd10, icd9, medical condition, medical conditions, health condition, condition name 0.5, medical history, disease, symptoms 0.8, allergy, allergies, comorbidities, problem list 0.6, chief complaint, diagnose 0.8, diagnosen, krankheit, befund 0.9, anamnese, diagnostic medical, maladie, diagnostico, diagnóstico, enfermedad, diagnosi, malattia, diagnoza, clinical notes 0.9, clinical note 0.9, lab result 0.8, lab results 0.8, test result medical, blood type, blood group, hiv status",
			not:   []string{"diagnosis of the fault"},
		},
		{
			class: Drug, groups: " phi", format: "the name of a medicine", source: "columns by their names; in text the model",
			names: "drug 0.8, drug name, drug code, medication, medications, medication name, current medication, current medications, medicine 0.8, medicine name, prescribed drug, prescription drug, prescription name, rx name, dosage 0.8, ndc, ndc code, rxnorm, rxcui, medikament, medikamente, wirkstoff 0.8, médicament, medicament, medicamento, medicinale, farmaco, lek 0.5, geneesmiddel, läkemedel, lakemedel",
			not:   []string{"drug and drop"},
		},
	}
}

func secretClasses() []info {
	return []info{
		{
			class: Sensitive, groups: " pii secret", format: "a value whose name says that it is secret or personal, without telling what", source: "names of columns and keys",
			names: "secret, secrets, api key, apikey, access key, accesskey, token 0.9, tokens 0.9, credential 0.9, credentials 0.9, security question 0.9, security answer, secret answer, biometric, biometric id, fingerprint hash 0.6, religion 0.9, religious belief, ethnicity, ethnic group, race ethnicity, political opinion, political party 0.6, sexual orientation, union membership, marital status, gender 0.6, sex 0.6, criminal record, password, passwords, passwd, pwd, passphrase, passwort, kennwort, contraseña, contrasena, mot de passe, wachtwoord, senha, lösenord, hasło",
			not:   []string{"the secret of success"},
		},
		{
			class: DSNPassword, groups: " secret", format: "password of a URL or connection string, or after a key that names one", source: "RFC 3986 section 3.2.1; manuals of databases",
			alone: 0.95,
			names: "dsn, connection string, connectionstring, conn str, database url",
			is:    []string{"postgres://app:«s3cr3t»@db.example:5432/x"}, not: []string{"postgres://db.example:5432/x"},
		},
		{
			class: AWSKey, groups: " secret", format: "`AKIA`, `ASIA`, `ABIA` or `ACCA` and 16 letters and digits; a secret of 40 near a word", source: "AWS IAM User Guide",
			alone: 0.95, near: 0.9,
			words: "aws amazon secretaccesskey awssecret",
			names: "aws secret, aws access key, secret access key, secretaccesskey, access key id, accesskeyid",
			is:    []string{"key «AKIAIOSFODNN7EXAMPLE»"}, not: []string{"AKIAIOSFODNN7EXAMPL"},
		},
		{
			class: GitHubToken, groups: " secret", format: "`ghp_`, `gho_`, `ghu_`, `ghs_`, `ghr_` or `github_pat_`", check: "CRC-32 in base 62", source: "GitHub, token formats",
			alone: 1,
			names: "github token, gh token",
		},
		{
			class: JWT, groups: " secret", format: "three or five runs of base64url between dots", check: "a header with `alg`", source: "RFC 7515, RFC 7516",
			alone: 1,
			names: "jwt, id token 0.9, bearer token 0.9",
		},
		{
			class: PEM, groups: " secret", format: "a private key between its lines", source: "RFC 7468, RFC 9580",
			alone: 1,
			names: "private key, privatekey, pem",
		},
	}
}
