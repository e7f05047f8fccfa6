%% SPDX-License-Identifier: GPL-2.0
%% Erlang on 300 threads, for tests/clients/erlang.sh: 100,000 processes sum up numbers
%% in trees, files are read by the asynchronous threads, and /clients/stacks looks at the
%% stacks of all threads.
%%
%% usage: erl OPTION... -run threads main
-module(threads).
-export([main/0]).

%% sum(From, To): adds up the numbers with a process for each half
sum(N, N) -> N;
sum(From, To) ->
	Middle = (From + To) div 2,
	Self = self(),
	Left = spawn_link(fun() -> Self ! {self(), sum(From, Middle)} end),
	Right = sum(Middle + 1, To),
	receive {Left, Sum} -> Sum + Right end.

read(Path, Times) ->
	Self = self(),
	Readers = [spawn_link(fun() ->
		{ok, Binary} = file:read_file(Path),
		Self ! {self(), byte_size(Binary)}
	end) || _ <- lists:seq(1, Times)],
	[Size] = lists:usort([receive {Reader, Size} -> Size end || Reader <- Readers]),
	Size.

%% Not tail recursive: the stack of an Erlang process is in its heap.
deep(0) -> 0;
deep(N) -> 1 + deep(N - 1).

main() ->
	io:format("sum ~p~n", [sum(1, 100000)]),
	io:format("read ~p~n", [read(code:which(?MODULE), 500) > 0]),
	io:format("deep ~p~n", [deep(3000000)]),
	io:format("~s", [os:cmd("/clients/stacks " ++ os:getpid())]),
	halt(0).
