package shell

// devTools build, test, check and format the working copy, and manage its packages.
const devTools = `
go + | C run bench count timeout p tags covermode coverpkg cpu fuzz fuzztime list skip parallel vet
 -coverprofile -cpuprofile -memprofile -blockprofile -mutexprofile -trace -outputdir : OUT
 -toolexec --toolexec -exec --exec -overlay --overlay -vettool --vettool -modfile -gccgoflags -ldflags=*extld* : ? =
 -o : OUT
 version|env|list|doc|help|bug : GOENV
 test|vet|build|fmt : routine own
 tool pprof @*://* : fetch
 tool pprof +http : exec network
 tool pprof|trace|cover|nm|objdump|addr2line|covdata : routine own
 tool * : GOTOOL
 tool : read
 mod verify|graph|why : read
 mod download : fetch
 mod * : write fetch
 get|install : fetch exec write
 generate|run : GORUN
 work|clean|fix|telemetry : write
gofmt goimports gofumpt gci + | cpuprofile r local e
 -cpuprofile : W
 +w|write : FMT
 : R
golangci-lint | c config E D timeout
 custom|migrate : exec fetch
 : routine own
staticcheck revive govulncheck gosec errcheck ineffassign gotestsum deadcode ginkgo mockery.none + | c config E D timeout
 : routine own
cargo | manifest-path p package features target j jobs bin example test bench color message-format Z config
 --config : ? =
 --manifest-path --target-dir : OWNED =
 test|t|build|b|check|c|clippy|fmt|bench|doc|d|nextest|metadata|tree|locate-project|version|verify-project|pkgid : routine own
 run|r : exec
 publish : deploy code
 yank|owner|login|logout : ident code
 install|add|update|fetch|search|generate-lockfile|vendor : fetch write exec
 clean|remove|rm|new|init|fix|uninstall : write
rustfmt clang-format clang-tidy cppcheck shellcheck shfmt yamllint hadolint actionlint markdownlint markdownlint-cli2 codespell typos vale cspell djlint taplo stylua luacheck ktlint swiftlint swiftformat scalafmt rubocop standardrb erb_lint reek phpstan php-cs-fixer phpcs psalm pint ormolu hlint dartanalyzer mdl proselint textlint remark write-good | c config
 -r --require --use --load : ?
 -i -w --write --fix --in-place --autocorrect -a -A : FMTOPT
 : routine own
pytest py.test unittest nosetests mypy ruff flake8 pylint black isort yapf autopep8 bandit pyright basedpyright pycodestyle pydocstyle vulture tox.none pyflakes blue djhtml interrogate | c k m n p rootdir config config-file line-length o W
 -p : ? =
 --rootdir --override-ini : ? =
 : routine own
coverage | m rcfile source include omit d o
 -m --module : PYMOD
 -p : -
 run|report|html|xml|json|lcov|combine|erase|annotate|debug|help|version : routine own
 : exec
tox nox invoke fab doit scons waf meson ninja cmake ctest bazel bazelisk buck2 pants please mage just task rake thor grunt gulp jake cake rush lerna ant mill boot xcodebuild dart dotnet.none msbuild nuget.none packer.none earthly dagger act skaffold.none tilt devspace |
 --version|version|help : none
 +version|help|list|l : read
 ls|list|query|info|cquery|aquery|graph|targets : read
 : exec
lein dune stack cabal mix rebar3 zig crystal nim swift flutter sbt |
 test|build|compile|format|fmt|check|analyze|lint|spec : routine own
 --version|version|help : none
 +version|help : none
 : exec
make gmake bmake pmake | f C j I o W file directory
 -f --file --makefile -C --directory --eval -I : ? =
 +n|just-print|dry-run|recon|question|q|p|print-data-base : exec
 +v|version|h|help : none
 : exec
npm pnpm yarn bun | prefix C w workspace filter registry tag otp
 -e --eval -p --print -r --import --viewer --browser --editor : ?
 --registry : fetch =
 -C --prefix --dir --cwd --script-shell --node-options --userconfig --globalconfig : ? =
 test|t|tst|run-test : routine own
 run|run-script test|test:*|lint|lint:*|typecheck|type-check|types|check|check:*|format|format:*|fmt|build|build:*|tsc|unit|coverage : routine own
 lint|typecheck|build|format : routine own
 ls|list|la|ll|outdated|why|explain|fund|root|bin|prefix|query|help|licenses|workspaces : read
 pack|doctor : write fetch
 view|info|show|v|search|ping|audit : fetch
 publish +dry-run : read
 publish|unpublish|deprecate|dist-tag : deploy code
 login|logout|adduser|token|owner|access|team|org|profile|hook|whoami : ident secret
 config get|list|ls : secret
 config|set|pkg|cache|link|unlink|rebuild|prune|dedupe|shrinkwrap|version|init|create|dlx|exec|x : write exec fetch
 get : secret
 : exec fetch write
npx pnpx bunx ^ | p package c call
 -c --call : S
 -p --package : ? =
 : NPX
pip pip3 pipx uv poetry pipenv pdm hatch rye easy_install conda-lock | r e i c index-url extra-index-url requirement constraint target
 -p : -
 --python --python-path : ? =
 --log : W
 version|self * : write
 cache dir|list|info : read
 env info|list|show|find : read
 env|cache * : write delete exec
 list|show|freeze|check|help|debug|inspect|tree|version|env|cache : read
 index|search|audit|lock|download : fetch
 publish|upload : deploy code
 run : UVRUN
 config|init|new|self|source|python|venv|virtualenv|shell|build|export|remove|uninstall|sync|add|install|update|upgrade|tool|pip|inject|ensurepath|wheel : fetch exec write
 : fetch exec write
twine |
 check : read
 : deploy code export
gem bundle bundler composer cpan cpanm luarocks opam hex mint cocoapods pod carthage nuget maven vcpkg conan helmfile.none |
 list|ls|show|info|outdated|which|search|env|environment|help|check|licenses|why|depends|validate : read
 push|publish|yank|owner|signin : deploy code
 test|build|format : routine own
 exec : UVRUN
 +version|v|V : none
 : exec fetch write
mvn gradle dotnet = | c configuration
 --version : none
 -c --configuration -q --quiet -o --offline --info --no-restore --nologo --no-build --stacktrace --no-daemon --console -v --verbosity -B --batch-mode -am -nsu : -
 test|build|format : routine own
 list|show|info|outdated|help|check|dependencies|tasks|projects|validate : exec
 push|publish|deploy|release : deploy code
 : exec fetch write
gradlew mvnw |
 : exec
tsc eslint prettier jest vitest mocha ava tap jasmine cypress playwright stylelint tslint biome oxlint esbuild vite webpack parcel swc babel ng standard xo knip depcheck tsx.none ts-node.none svelte-check vue-tsc astro next nuxt remix rome dprint commitlint stryker | c config p project outDir
 --config -c --rulesdir --resolve-plugins-relative-to --plugin --require -r --globalSetup --setupFiles --import : ? =
 -p --project : =
 open|screenshot|pdf|cr|wk|ff|show-trace : exec fetch
 serve|dev|start|preview|deploy|codegen|install|generate|migrate|init|add|upgrade|reset : exec
 : routine own
c8 nyc ^ | c r reporter reports-dir report-dir temp-directory n include x exclude
 -r --require --import --all-hooks : ?
 report|check-coverage : routine own
 : X
rollup | i o d f
 -c --config -p --plugin --configPlugin : ?
 : routine own
nx turbo lint-staged |
 exec|x : exec
 : exec
busted |
 : exec
phpunit pest rspec minitest bats ginkgo.none karma nightwatch wdio behave robot lettuce cucumber |
 -r --require -I --bootstrap : ? =
 : routine own
protoc buf sqlc swag wire stringer mockgen openapi-generator |
 lint|breaking|format|vet|ls-files : routine own
 : exec write
gcc g++ cc c++ rustc clang clang++ ld as ar.none nasm javac kotlinc scalac ghc ocamlopt rustdoc valac gfortran fpc | o I L D l x std
 -fplugin --plugin -wrapper -specs -B : ? =
 -o : OUT
 : write exec
javadoc jar |
 : write
objdump nm readelf size addr2line ldd nmcheck otool dumpbin elfedit.none pahole c++filt ~ | d j
 : read
ldd |
 : exec read
strip objcopy patchelf install_name_tool codesign |
 : write W
strace ltrace.none |
 : exec
git-lfs |
 : code
act |
 : exec
pre-commit lefthook husky |
 : exec
terraform-docs tflint checkov tfsec kubeval kubeconform kube-linter conftest regal helm-docs | c config
 pull|push|plugin : fetch export
 : routine own
opa |
 test|fmt|check|version|inspect|parse : routine own
 : exec fetch
hugo jekyll mkdocs sphinx-build mdbook gitbook docusaurus asciidoctor latex pdflatex xelatex |
 serve|deploy|gh-deploy : exec deploy
 : exec write
code cursor subl idea zed emacsclient |
 --version : none
 : exec
tokei cloc scc gource hyperfine.none |
 : read
rails artisan django-admin manage.py alembic flyway liquibase prisma knex sequelize typeorm goose dbmate migrate atlas sqlx diesel |
 routes|about|stats|notes|status|version|validate|current|history|heads|show|check|format|info : exec
 test : exec
 : exec schema
ansible ansible-playbook ansible-galaxy ansible-pull salt salt-call puppet chef-client knife |
 +syntax-check|list-hosts|list-tasks|list-tags : read
 list|info|search : read
 : exec infra ?
ansible-vault |
 : secret write
ansible-doc ansible-lint ansible-inventory ~ |
 : read
vagrant multipass lima limactl colima minikube kind k3d k3s microk8s virsh qemu-system-x86_64 qemu-img VBoxManage lxc incus machinectl firecracker |
 status|list|ls|info|version|show|get|dominfo|dumpxml|profile : read
 ssh|exec|shell|console : exec session
 destroy|delete|rm|undefine : destroy
 : infra exec
packer |
 validate|fmt|inspect|version : read
 : create exec
claude codex gemini aider goose llm ollama copilot opencode cursor-agent amp crush sgpt mods fabric chatgpt openai anthropic |
 --version|--help|version|help : none
 : llm exec ?
`
