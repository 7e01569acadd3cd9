package main

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/pfs-project/pfs/cli"
)

// context is the group of the commands about named clusters.
func (a *app) contexts() *cobra.Command {
	c := &cobra.Command{Use: "context", Short: "Name clusters, and choose one", Args: cobra.NoArgs,
		Long: `A context is a name for the nodes of a cluster and for what to show them. Commands
talk to what --url names, or --context, or the variables PFS_URL and PFS_CONTEXT, or
else to the current context.`,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	c.AddCommand(a.contextAdd(), a.contextUse(), a.contextList(), a.contextRemove())
	return c
}

// changeContexts changes the file of the contexts.
func (a *app) changeContexts(change func(*cli.Contexts) error) error {
	all, err := a.LoadContexts()
	if err != nil {
		return err
	}
	if err := change(&all); err != nil {
		return err
	}
	return a.SaveContexts(all)
}

func (a *app) contextAdd() *cobra.Command {
	var s cli.Server
	var use bool
	c := &cobra.Command{Use: "add name url…", Short: "Name the nodes of a cluster", Args: cobra.MinimumNArgs(2),
		Example: "  pfs context add prod http://10.0.0.1:8080 http://10.0.0.2:8080\n  pfs context add lab https://pfs.example.com --token-file ~/.pfs-token --use"}
	f := c.Flags()
	f.StringVar(&s.TokenFile, "token-file", "", "the token to send is in this `FILE`")
	f.StringVar(&s.CACert, "cacert", "", "trust the certificates in this `FILE`")
	f.StringVar(&s.Cert, "cert", "", "show the certificate in this `FILE`")
	f.StringVar(&s.Key, "key", "", "whose key is in this `FILE`")
	f.BoolVar(&use, "use", false, "make it the current one; the first is that anyway")
	c.RunE = func(_ *cobra.Command, args []string) error {
		s.URLs = args[1:]
		for _, file := range []*string{&s.TokenFile, &s.CACert, &s.Cert, &s.Key} {
			if *file == "" {
				continue
			}
			whole, err := filepath.Abs(*file) // it is used from other directories
			if err != nil {
				return err
			}
			*file = whole
		}
		if err := s.Check(); err != nil {
			return err
		}
		return a.changeContexts(func(all *cli.Contexts) error {
			all.Contexts[args[0]] = s
			if use || all.Current == "" {
				all.Current = args[0]
			}
			return nil
		})
	}
	return c
}

func noContext(name string) error {
	return &cli.Hinted{Code: cli.ExitNoFile, Text: "there is no context " + name, Hint: "see: pfs context list"}
}

func (a *app) contextUse() *cobra.Command {
	return &cobra.Command{Use: "use name", Short: "Make a context the current one", Args: cobra.ExactArgs(1), Example: "  pfs context use prod",
		RunE: func(_ *cobra.Command, args []string) error {
			return a.changeContexts(func(all *cli.Contexts) error {
				if _, ok := all.Contexts[args[0]]; !ok {
					return noContext(args[0])
				}
				all.Current = args[0]
				return nil
			})
		}}
}

func (a *app) contextRemove() *cobra.Command {
	return &cobra.Command{Use: "remove name", Aliases: []string{"rm"}, Short: "Forget a context", Args: cobra.ExactArgs(1), Example: "  pfs context remove lab",
		RunE: func(_ *cobra.Command, args []string) error {
			return a.changeContexts(func(all *cli.Contexts) error {
				if _, ok := all.Contexts[args[0]]; !ok {
					return noContext(args[0])
				}
				delete(all.Contexts, args[0])
				if all.Current == args[0] {
					all.Current = ""
				}
				return nil
			})
		}}
}

func (a *app) contextList() *cobra.Command {
	return &cobra.Command{Use: "list", Aliases: []string{"ls"}, Short: "List the contexts; * is the current one", Args: cobra.NoArgs, Example: "  pfs context list",
		RunE: func(*cobra.Command, []string) error {
			all, err := a.LoadContexts()
			if err != nil {
				return err
			}
			if a.JSON() {
				return a.Encode(all)
			}
			w := tabwriter.NewWriter(a.Stdout, 0, 0, 2, ' ', 0)
			for _, name := range slices.Sorted(maps.Keys(all.Contexts)) {
				mark := " "
				if name == all.Current {
					mark = "*"
				}
				fmt.Fprintln(w, mark+" "+cli.Plain(name)+"\t"+cli.Plain(strings.Join(all.Contexts[name].URLs, ",")))
			}
			return w.Flush()
		}}
}
