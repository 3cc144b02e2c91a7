//! The shim of the tests: what the program's hidden `shim` subcommand does.

fn main() {
    let mut args: Vec<_> = std::env::args_os().skip(1).collect();
    if args.first().is_some_and(|a| a == "shim") {
        runtime::shim::main(args.split_off(1));
    }
    eprintln!("usage: agent-shim shim SANDBOX-DIRECTORY");
}
