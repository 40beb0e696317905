package cli

import "github.com/spf13/cobra"

func (a *app) askCmd() *cobra.Command {
	var p plan
	question := exactly("ID", "QUESTION")
	out := &cobra.Command{
		Use: "ask ID QUESTION", Short: "Ask the asker's side of a held action a question, or people for a plan",
		Args: func(cmd *cobra.Command, args []string) error {
			if p.file != "" {
				return exactly()(cmd, args)
			}
			return question(cmd, args)
		},
		Long: `Ask the asker's side of a held action a question. It is on the card and in the
log, decides nothing, and moves no deadline. Whoever may review may ask.

With --plan FILE an actor asks people for several actions at once: all of them are
approved, or none. The file lists action and resource of each, as the API has them.
What policy allows anyway flows without being asked for; what it denies refuses the
plan. Exit status: 0 approved, 75 still pending, 77 not approved. With --json each
approved item has the result to evaluate it again with. What policy masks or limits
is asked at a gate instead: the built-in pack masks whatever an agent does. Such a file:

    - action: { name: copy, properties: { kinds: [data.export], target: customers, payload: COPY customers TO STDOUT } }
      resource: { type: postgres, id: "postgres:shop/customers" }
    - action: { name: delete, properties: { kinds: [data.delete], target: drafts, payload: DELETE FROM drafts } }
      resource: { type: postgres, id: "postgres:shop/drafts" }`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if p.file != "" {
				return a.askPlan(cmd, &p)
			}
			c, err := a.client(false)
			if err != nil {
				return err
			}
			p, err := c.Ask(cmd.Context(), args[0], args[1])
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(p)
			}
			a.printf("%s: asked; it still waits for %s\n", p.ID, inline(p.Asks))
			return nil
		},
	}
	p.flags(out)
	return out
}

func (a *app) answerCmd() *cobra.Command {
	return &cobra.Command{
		Use: "answer ID QUESTION TEXT", Short: "Answer a reviewer's question, as the asker or the person behind it", Args: exactly("ID", "QUESTION", "TEXT"),
		Long: `Answer a reviewer's question, by its id (qst_…): as the actor that asked, the
person it acts for, or its owner. Sensitive values in the answer are masked. Each
question has one answer, and reviewers look again before they decide.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client(false)
			if err != nil {
				return err
			}
			text, err := c.Answer(cmd.Context(), args[0], args[1], args[2])
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(map[string]string{"approval": args[0], "question": args[1], "text": text})
			}
			a.printf("%s: answered “%s”\n", args[0], inline(text))
			return nil
		},
	}
}
