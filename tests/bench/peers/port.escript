#!/usr/bin/env escript
%% An Erlang port with {packet, 4}: this node starts a program as its port, sends it requests and gets
%% its answers; both are the frames that the host's modules get and give. What to measure comes as
%% lines of standard input, as in src/rounds.rs beside this. There is no relay, and no supervisor restarts the
%% program.
%%
%% port.escript PROGRAM ARGUMENTS... INIT REQUEST, the request from after its number on.
-mode(compile).

main(Words) ->
    {[Program | Arguments], [Init, Request]} = lists:split(length(Words) - 2, Words),
    Port = open_port({spawn_executable, Program}, [{args, Arguments}, {packet, 4}, binary, exit_status]),
    port_command(Port, Init),
    answer(Port),
    say("\"ready\""),
    follow(Port, list_to_binary(Request)).

follow(Port, Request) ->
    case io:get_line("") of
        eof -> ok;
        Line ->
            case string:lexemes(Line, " \n") of
                ["alone", Calls] ->
                    Times = alone(Port, Request, list_to_integer(Calls), []),
                    say(["[", lists:join(",", [integer_to_list(Time) || Time <- Times]), "]"]);
                ["ahead", Calls, Window] ->
                    say(integer_to_list(ahead(Port, Request, list_to_integer(Calls), list_to_integer(Window))))
            end,
            follow(Port, Request)
    end.

say(Line) -> io:put_chars([Line, "\n"]).

alone(_, _, 0, Times) -> Times;
alone(Port, Request, Calls, Times) ->
    Began = erlang:monotonic_time(nanosecond),
    send(Port, Request, Calls),
    answer(Port),
    alone(Port, Request, Calls - 1, [erlang:monotonic_time(nanosecond) - Began | Times]).

ahead(Port, Request, Calls, Window) ->
    Began = erlang:monotonic_time(nanosecond),
    First = min(Calls, Window),
    [send(Port, Request, Id) || Id <- lists:seq(1, First)],
    window(Port, Request, Calls - First),
    [answer(Port) || _ <- lists:seq(1, First)],
    erlang:monotonic_time(nanosecond) - Began.

window(_, _, 0) -> ok;
window(Port, Request, Left) ->
    answer(Port),
    send(Port, Request, Left),
    window(Port, Request, Left - 1).

send(Port, Request, Id) ->
    port_command(Port, [<<"{\"id\":">>, integer_to_binary(1000000000 + Id), Request]).

%% Looks at an answer as far as the caller of the host does.
answer(Port) ->
    receive
        {Port, {data, <<"{\"id\":", _:10/binary, ",\"status\":\"success\"", _/binary>>}} -> ok;
        {Port, Other} -> error({expected_success, Other})
    end.
