%% A one_for_one supervisor of BENCH_COUNT processes, each the owner of a port that runs one worker.
%%
%% Environment: BENCH_PROGRAM, BENCH_ARGUMENTS (separated by spaces, "%i" is the number of the worker),
%% and for logs BENCH_LOG (a folder) and BENCH_ROTATE (bytes).
-module(otp).
-behaviour(supervisor).
-export([main/0, init/1, start_worker/1, own_port/2]).

main() ->
    {ok, _} = supervisor:start_link({local, otp}, ?MODULE, []),
    receive stop -> ok end.

init([]) ->
    Count = list_to_integer(os:getenv("BENCH_COUNT")),
    Strategy = #{strategy => one_for_one, intensity => 100000000, period => 1},
    Children = [#{id => I, start => {?MODULE, start_worker, [I]}, restart => permanent, shutdown => brutal_kill}
                || I <- lists:seq(0, Count - 1)],
    {ok, {Strategy, Children}}.

start_worker(I) ->
    proc_lib:start_link(?MODULE, own_port, [self(), I]).

own_port(Parent, I) ->
    Number = integer_to_list(I),
    Arguments = [binary_to_list(iolist_to_binary(string:replace(Argument, "%i", Number, all)))
                 || Argument <- string:lexemes(os:getenv("BENCH_ARGUMENTS"), " ")],
    Port = open_port({spawn_executable, os:getenv("BENCH_PROGRAM")},
                     [{args, Arguments}, exit_status, binary, use_stdio]),
    proc_lib:init_ack(Parent, {ok, self()}),
    serve(Port, open_log(Number)).

open_log(Number) ->
    case os:getenv("BENCH_LOG") of
        false -> none;
        Folder ->
            Path = Folder ++ "/" ++ Number ++ ".log",
            {ok, File} = file:open(Path, [append, raw, binary]),
            #{path => Path, file => File, size => 0, rotations => 0,
              limit => list_to_integer(os:getenv("BENCH_ROTATE"))}
    end.

serve(Port, Log) ->
    receive
        {Port, {exit_status, Status}} -> exit({worker_died, Status});
        {Port, {data, Data}} -> serve(Port, write(Data, Log))
    end.

write(_Data, none) -> none;
write(Data, #{file := File, size := Size, limit := Limit} = Log) ->
    ok = file:write(File, Data),
    case Size + byte_size(Data) of
        Full when Full >= Limit -> rotate(Log);
        Written -> Log#{size := Written}
    end.

rotate(#{path := Path, file := File, rotations := Rotations} = Log) ->
    ok = file:close(File),
    ok = file:rename(Path, Path ++ "." ++ integer_to_list(Rotations + 1)),
    {ok, New} = file:open(Path, [append, raw, binary]),
    Log#{file := New, size := 0, rotations := Rotations + 1}.
