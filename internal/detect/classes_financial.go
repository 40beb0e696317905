package detect

const (
	Routing     Class = "us-routing"
	BIC         Class = "bic"
	BankAccount Class = "bank-account"
	SortCode    Class = "uk-sort-code"
	Bitcoin     Class = "bitcoin"
	Ethereum    Class = "ethereum"
	CVV         Class = "cvv"
	CardExpiry  Class = "card-expiry"
	Track       Class = "card-track"
)

func financialClasses() []info {
	return []info{
		{
			class: Card, groups: " pci pii", format: "13 to 19 digits, in groups or not", check: "Luhn and issuer", source: "ISO/IEC 7812-1; ranges as the networks publish them",
			alone: 0.95, near: 1, wrong: 0.5,
			words: "card cards visa mastercard amex credit debit pan cc cardnumber creditcard ccnumber karte kreditkarte kreditkartennummer tarjeta carte carta cartão kaart kort discover maestro",
			names: "card number, card no, card num, cardnumber, cardno, cc number, cc num, cc no, ccnumber, ccnum, credit card, creditcard, credit card number, credit card no, debit card, debit card number, primary account number, pan 0.9, kreditkarte, kreditkartennummer, kartennummer, numero tarjeta, numero de tarjeta, tarjeta de credito, carte bancaire, numero carte, numéro carte, carta di credito, numero carta, cartão de crédito, numero cartao, kaartnummer, kortnummer",
			is:    []string{"paid with «4242424242424242» today", "«3782 822463 10005»", "card: «4111 1111 1111 1112»"}, not: []string{"4111 1111 1111 1112", "9999 9999 9999 9995"},
		},
		{
			class: CVV, groups: " pci", format: "3 or 4 digits after a word that says so", source: "PCI DSS, card verification code",
			near:  0.85,
			words: "cvv cvc csc cvv2 cvc2 cid",
			names: "cvv, cvv2, cvc, cvc2, card verification, card verification code, card security code, security code 0.6, prüfziffer karte, kartenprüfnummer, csc 0.6",
			is:    []string{"CVV: «123»", "cvc «4567»"}, not: []string{"cvv 12", "curve 123"},
		},
		{
			class: CardExpiry, groups: " pci", format: "month and year, known by its column", source: "ISO/IEC 7813",
			names: "card expiry, card exp, card expiration, card expiry date, card expiration date, cc exp, cc expiry, cc expiration, exp month 0.8, exp year 0.8, card exp month, card exp year",
		},
		{
			class: Track, groups: " pci", format: "track 1 from `%B`, track 2 from `;`, to the `?`", check: "Luhn of the number in it", source: "ISO/IEC 7813",
			alone: 1,
			names: "track 1, track data, trackdata, track 2 data, track1, track2, magstripe, magnetic stripe",
			is:    []string{"read «%B4242424242424242^DOE/JANE^2712101123400001?»", "read «;4242424242424242=27121011234000010000?»"}, not: []string{";1234=5678?"},
		},
		{
			class: IBAN, groups: " pci pii", format: "country, two check digits, up to 30 letters and digits", check: "length of the country, mod 97", source: "ISO 13616; SWIFT IBAN registry",
			alone: 1, near: 1, wrong: 0.5,
			words: "iban account bank konto kontonummer cuenta compte conto rekening beneficiary transfer",
			names: "iban, iban number, iban no, bank iban, account iban",
			is:    []string{"pay «GB29 NWBK 6016 1331 9268 19» now", "IBAN: «DE89370400440532013001»"}, not: []string{"DE89370400440532013001"},
		},
		{
			class: BankAccount, groups: " pii", format: "6 to 17 digits after words that say so", source: "customs of the country",
			near:  0.7,
			words: "account acct konto kontonummer cuenta rekeningnummer",
			names: "account number 0.9, account no 0.9, acct number 0.9, acct no 0.9, accountnumber 0.9, bank account, bank account number, bank account no, bankaccount, kontonummer, kontonr, numero de cuenta, numero cuenta, numero de compte, numero compte, numero conto, conto corrente, numero da conta, rekeningnummer, bankkonto, nuban, clabe",
			is:    []string{"bank account number: «10018850»", "account no. «12345678901»"}, not: []string{"account 123456789012", "accountId: 123456789012"},
		},
		{
			class: Routing, groups: " pii", format: "9 digits near a word", check: "weights 3, 7, 1, and ranges given out", source: "ABA routing number policy; 12 CFR 229",
			near: 0.9, wrong: 0.5,
			words: "routing aba rtn transit ach fedwire",
			names: "routing number, routing no, routing num, routingnumber, aba number, aba, aba routing, aba routing number, rtn 0.7, bank routing number, transit number 0.8",
			is:    []string{"routing: «021000021»"}, not: []string{"021000021"},
		},
		{
			class: SortCode, groups: " pii", format: "three pairs of digits after words that say so", source: "Vocalink sorting code rules",
			near:  0.85,
			words: "sort",
			names: "sort code, sortcode, bank sort code",
			is:    []string{"sort code «12-34-56»"}, not: []string{"12-34-56", "sort 12-34-56"},
		},
		{
			class: BIC, groups: " pii", format: "four letters, a country, two or five letters and digits, near a word", check: "country of ISO 3166-1", source: "ISO 9362",
			near:  0.8,
			words: "bic swift iban bank swiftcode biccode bankleitzahl",
			names: "bic, bic code, biccode, swift 0.7, swift code, swiftcode, swift bic",
			is:    []string{"SWIFT: «CHASUS33»", "BIC «DEUTDEFF500»", "BIC: «DEUTDEFF»"}, not: []string{"CHASUS33", "swift FUNCTION"},
		},
		{
			class: Bitcoin, groups: " pii", format: "base58 from 1 or 3, bech32 from `bc1`", check: "base58check; bech32 and bech32m", source: "BIP 13, BIP 173, BIP 350",
			alone: 1,
			names: "bitcoin address, btc address, btc wallet, bitcoin wallet, bitcoin 0.8, wallet address 0.8, crypto address 0.8, crypto wallet 0.8",
			is:    []string{"to «1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa»", "to «bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4»"}, not: []string{"1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb"},
		},
		{
			class: Ethereum, groups: " pii", format: "`0x` and 40 hex digits", check: "EIP-55 where there are capitals", source: "ERC-55",
			alone: 0.95, near: 0.95,
			words: "ethereum eth wallet erc",
			names: "ethereum address, eth address, eth wallet, ethereum wallet, ethereum 0.8",
			is:    []string{"to «0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed»"}, not: []string{"0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAeD", "0x00000000000000000000000000000000deadbeef"},
		},
	}
}
