using System;
using Microsoft.EntityFrameworkCore.Migrations;
using Npgsql.EntityFrameworkCore.PostgreSQL.Metadata;

#nullable disable

namespace Portal.Data.Postgres
{
    /// <inheritdoc />
    public partial class BestOfN : Migration
    {
        /// <inheritdoc />
        protected override void Up(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.CreateTable(
                name: "BestOfNAnswers",
                columns: table => new
                {
                    Id = table.Column<long>(type: "bigint", nullable: false)
                        .Annotation("Npgsql:ValueGenerationStrategy", NpgsqlValueGenerationStrategy.IdentityByDefaultColumn),
                    JobId = table.Column<Guid>(type: "uuid", nullable: false),
                    PromptId = table.Column<Guid>(type: "uuid", nullable: false),
                    ResponseId = table.Column<Guid>(type: "uuid", nullable: false),
                    Ordinal = table.Column<int>(type: "integer", nullable: false),
                    RewardBefore = table.Column<double>(type: "double precision", nullable: false),
                    RewardAfter = table.Column<double>(type: "double precision", nullable: false),
                    IsBestBefore = table.Column<bool>(type: "boolean", nullable: false),
                    IsBestAfter = table.Column<bool>(type: "boolean", nullable: false)
                },
                constraints: table =>
                {
                    table.PrimaryKey("PK_BestOfNAnswers", x => x.Id);
                });

            migrationBuilder.CreateTable(
                name: "BestOfNRuns",
                columns: table => new
                {
                    JobId = table.Column<Guid>(type: "uuid", nullable: false),
                    ProjectId = table.Column<Guid>(type: "uuid", nullable: false),
                    PolicyId = table.Column<Guid>(type: "uuid", nullable: false),
                    BeforeId = table.Column<Guid>(type: "uuid", nullable: false),
                    AfterId = table.Column<Guid>(type: "uuid", nullable: false),
                    Prompts = table.Column<int>(type: "integer", nullable: false),
                    AnswersPerPrompt = table.Column<int>(type: "integer", nullable: false),
                    FiguresJson = table.Column<string>(type: "text", nullable: false),
                    At = table.Column<DateTimeOffset>(type: "timestamp with time zone", nullable: false)
                },
                constraints: table =>
                {
                    table.PrimaryKey("PK_BestOfNRuns", x => x.JobId);
                    table.ForeignKey(
                        name: "FK_BestOfNRuns_ModelVersions_AfterId",
                        column: x => x.AfterId,
                        principalTable: "ModelVersions",
                        principalColumn: "Id",
                        onDelete: ReferentialAction.Restrict);
                });

            migrationBuilder.CreateIndex(
                name: "IX_BestOfNAnswers_JobId_PromptId_Ordinal",
                table: "BestOfNAnswers",
                columns: new[] { "JobId", "PromptId", "Ordinal" },
                unique: true);

            migrationBuilder.CreateIndex(
                name: "IX_BestOfNRuns_AfterId_At",
                table: "BestOfNRuns",
                columns: new[] { "AfterId", "At" });
        }

        /// <inheritdoc />
        protected override void Down(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.DropTable(
                name: "BestOfNAnswers");

            migrationBuilder.DropTable(
                name: "BestOfNRuns");
        }
    }
}
